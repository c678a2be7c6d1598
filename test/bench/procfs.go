package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux that
// Go runs on.
const clockTick = 10 * time.Millisecond

// usage is what a process has used since it started.
type usage struct {
	CPU time.Duration
	// Resident memory now and at its highest, in MiB.
	Resident, Peak float64
}

// usageOf reads /proc, so it needs Linux.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("measuring a process (this needs Linux): %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, fmt.Errorf("measuring a process (this needs Linux): %w", err)
	}
	return parseUsage(string(stat), string(status))
}

// parseUsage reads utime and stime, fields 14 and 15 of stat, counted behind the
// command's name, which may itself hold spaces; and VmRSS and VmHWM of status.
func parseUsage(stat, status string) (usage, error) {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc stat has %d fields behind the name, wants 13 or more", len(fields))
	}
	var u usage
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("reading CPU time: %w", err)
		}
		u.CPU += time.Duration(ticks) * clockTick
	}
	for name, into := range map[string]*float64{"VmRSS:": &u.Resident, "VmHWM:": &u.Peak} {
		kib, err := statusKiB(status, name)
		if err != nil {
			return usage{}, err
		}
		*into = kib / 1024
	}
	return u, nil
}

func statusKiB(status, name string) (float64, error) {
	for line := range strings.Lines(status) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return 0, fmt.Errorf("reading %s %w", name, err)
			}
			return kib, nil
		}
	}
	return 0, fmt.Errorf("/proc status has no %s", name)
}
