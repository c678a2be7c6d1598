package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/test/kube"
)

func TestTheImageHasNoShellAndNoRoot(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(kube.Root(), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(text), "\nFROM ")
	last := stages[len(stages)-1]
	if !strings.HasPrefix(last, "scratch\n") {
		t.Errorf("the last stage is not scratch: %.40q", last)
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(last) {
		t.Error("the last stage has no numeric user: runAsNonRoot cannot tell that it is not root")
	}
	if regexp.MustCompile(`(?m)^RUN `).MatchString(last) {
		t.Error("the last stage runs a command, which needs a shell")
	}
	folder := regexp.MustCompile(`\./cmd/\S+`).FindString(string(text))
	if _, err := os.Stat(filepath.Join(kube.Root(), folder, "main.go")); err != nil {
		t.Errorf("the image builds what is not there: %v", err)
	}
}
