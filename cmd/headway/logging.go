package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Formats of --logformat.
const (
	formatText = "text"
	formatJSON = "json"
)

// levels translates the words of --loglevel. logr's V(n) is level -n, so debug shows V(1) to V(4) and
// trace all; logr has no warnings, so warn and error both leave only errors.
var levels = map[string]slog.Level{
	"trace": slog.Level(-127),
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
	"fatal": slog.LevelError,
	"panic": slog.LevelError,
}

// setLogging makes the one log of the process, and gives it to controller-runtime and to the client library.
func setLogging(o *options, w io.Writer) (logr.Logger, error) {
	level, known := levels[o.logLevel]
	if !known {
		return logr.Logger{}, fmt.Errorf("--loglevel %q: use trace, debug, info, warn or error", o.logLevel)
	}
	log := newLogger(w, o.logFormat, level)
	ctrl.SetLogger(log)
	// The client library has its own threshold: its V(6) is every request, wanted or not apart from our level.
	klog.SetLogger(newLogger(w, o.logFormat, slog.Level(-o.klogLevel)).WithName("client"))
	var klogLevel klog.Level
	if err := klogLevel.Set(fmt.Sprint(o.klogLevel)); err != nil {
		return logr.Logger{}, fmt.Errorf("setting --kloglevel %d: %w", o.klogLevel, err)
	}
	return log, nil
}

func newLogger(w io.Writer, format string, level slog.Level) logr.Logger {
	ho := &slog.HandlerOptions{Level: level, ReplaceAttr: renameLevel}
	if format == formatJSON {
		return logr.FromSlogHandler(slog.NewJSONHandler(w, ho))
	}
	return logr.FromSlogHandler(slog.NewTextHandler(w, ho))
}

// renameLevel writes levels as the words of --loglevel: slog would write V(1) as DEBUG+3.
func renameLevel(groups []string, a slog.Attr) slog.Attr {
	level, isLevel := a.Value.Any().(slog.Level)
	if !isLevel || a.Key != slog.LevelKey || len(groups) != 0 {
		return a
	}
	switch {
	case level >= slog.LevelError:
		a.Value = slog.StringValue("error")
	case level >= slog.LevelInfo:
		a.Value = slog.StringValue("info")
	case level >= slog.LevelDebug:
		a.Value = slog.StringValue("debug")
	default:
		a.Value = slog.StringValue("trace")
	}
	return a
}
