package scratch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// deadPID is the id of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestTheNextFolderRemovesThoseOfTheDead(t *testing.T) {
	tmp, dead, alive := t.TempDir(), deadPID(t), os.Getpid()
	t.Setenv("TMPDIR", tmp)
	for name, stays := range map[string]bool{
		fmt.Sprintf("headway-under-test-%d-123", dead):  false,
		fmt.Sprintf("headway-cluster-%d-123", dead):     false,
		fmt.Sprintf("headway-cluster-%d-123", alive):    true,
		"headway-cluster-1-123":                         true, // Somebody else's process, which may not be signalled.
		fmt.Sprintf("headway-cluster-%d-mine", dead):    true, // Not a name of ours.
		fmt.Sprintf("my-headway-cluster-%d-123", dead):  true,
		fmt.Sprintf("headway-cluster-%d-123.txt", dead): true,
	} {
		dir := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o750); err != nil {
			t.Fatal(err)
		}
		made, err := Dir("demo")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); os.IsNotExist(err) == stays {
			t.Errorf("%s: stays %t, want %t", name, !stays, stays)
		}
		if _, err := os.Stat(made); err != nil || !named.MatchString(filepath.Base(made)) {
			t.Errorf("the folder %s would not be found again: %v", made, err)
		}
	}
}
