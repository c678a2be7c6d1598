package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Exit codes. They are part of the interface: scripts branch on them.
const (
	// ExitDone means that it was done, or that the condition is met.
	ExitDone = 0
	// ExitError is every error without a code of its own.
	ExitError = 1
	// ExitUsage means that the command line was wrong.
	ExitUsage = 2
	// ExitDegraded means that the rollout is degraded or aborted.
	ExitDegraded = 3
	// ExitTimeout means that the condition was not met in time.
	ExitTimeout = 4
	// ExitPaused means that the rollout waits for a person.
	ExitPaused = 5
	// ExitForbidden means that the API server refused the caller.
	ExitForbidden = 6
	// ExitSuperseded means that a newer revision took the place of the one asked about.
	ExitSuperseded = 7
	// ExitInterrupted means that the command was interrupted; the rollout goes on.
	ExitInterrupted = 130
)

// failure is an error as people read it: what failed, why, and what to run next.
type failure struct {
	code            int
	what, why, next string
}

// Error is the failure in up to three lines.
func (f *failure) Error() string {
	lines := []string{"error: " + f.what}
	if f.why != "" {
		lines = append(lines, "  why:  "+f.why)
	}
	if f.next != "" {
		lines = append(lines, "  next: "+f.next)
	}
	return strings.Join(lines, "\n")
}

func usage(what, next string) *failure {
	return &failure{code: ExitUsage, what: what, next: next}
}

// report prints an error and returns the exit code. What is not a failure is
// what cobra says about the command line.
func (a *app) report(err error) int {
	if err == nil {
		return ExitDone
	}
	var f *failure
	if !errors.As(err, &f) {
		what, hint, _ := strings.Cut(err.Error(), "\n\n")
		f = usage(what, shownName(a)+" --help")
		f.why = strings.Join(strings.Fields(hint), " ")
	}
	_, _ = fmt.Fprintln(a.streams.ErrOut, a.named(f.Error()))
	if a.served && f.code >= ExitDegraded && f.code <= ExitSuperseded {
		return ExitError
	}
	return f.code
}

// attempt is what was being done to which object when the API server answered.
type attempt struct {
	// noun is the kind of the object; the zero one is a rollout.
	noun noun
	// doing in words, for example promoting rollout 'cart'.
	doing string
	// verb and resource in the words of RBAC.
	verb, resource string
	namespace      string
}

// of is the kind of the object.
func (t attempt) of() noun {
	if t.noun.kind == "" {
		return rolloutNoun
	}
	return t.noun
}

// failed turns an error of the API server into one that says what to do.
func (t attempt) failed(err error) error {
	if err == nil {
		return nil
	}
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	f = &failure{code: ExitError, what: t.doing + " failed", why: reason(err)}
	n := t.of()
	in, flag := " in namespace "+t.namespace, " -n "+t.namespace
	if n.wide {
		in, flag = "", ""
	}
	switch {
	case apierrors.IsForbidden(err):
		f.code = ExitForbidden
		f.next = fmt.Sprintf("ask an administrator for %q on %q%s; check with: kubectl auth can-i %s %s%s", t.verb, t.resource, in, t.verb, t.resource, flag)
	case apierrors.IsUnauthorized(err):
		f.next = "log in again; check with: kubectl auth whoami"
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err) && !namesObject(err):
		f.why = "the cluster does not serve " + n.resource
		f.next = "install the custom resource definitions; check with: kubectl get crd " + n.resource
	case apierrors.IsNotFound(err) && n.wide:
		f.next = n.list
	case apierrors.IsNotFound(err):
		f.next = fmt.Sprintf("%s -n %s, or name another namespace with -n", n.list, t.namespace)
	case apierrors.IsConflict(err):
		f.next = "run the command again"
	case unreachable(err):
		f.next = "check the address and the network: kubectl cluster-info"
	}
	return f
}

// namesObject tells a missing object from a missing kind: the API server
// names the object only in the former.
func namesObject(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name != ""
}

func unreachable(err error) bool {
	var urlErr *url.Error
	var netErr net.Error
	return errors.As(err, &urlErr) || errors.As(err, &netErr)
}

// reason is an error on one line.
func reason(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// asFailure gives errors without a code the general one.
func asFailure(err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return interrupted("the command")
	}
	return &failure{code: ExitError, what: reason(err)}
}

func interrupted(what string) *failure {
	return &failure{code: ExitInterrupted, what: what + " was interrupted", why: "a signal was received; the rollout goes on by itself"}
}
