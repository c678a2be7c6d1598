package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

func TestEveryFlagIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	kubectl := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	clientcmd.BindOverrideFlags(&clientcmd.ConfigOverrides{}, kubectl, clientcmd.RecommendedConfigOverrideFlags(""))
	all := pflag.NewFlagSet("headway", pflag.ContinueOnError)
	defaultOptions().bind(all)
	all.VisitAll(func(f *pflag.Flag) {
		if kubectl.Lookup(f.Name) == nil && !strings.Contains(string(page), "`--"+f.Name+"`") {
			t.Errorf("docs/operations.md does not name --%s", f.Name)
		}
	})
}
