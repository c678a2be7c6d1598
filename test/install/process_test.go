package install

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/kube/scratch"
)

// binary is the controller, built once into a folder that TestMain removes.
var binary = sync.OnceValues(func() (string, error) {
	if err := kube.SeeSources(); err != nil {
		return "", err
	}
	dir, err := scratch.Dir("install")
	if err != nil {
		return "", err
	}
	removeBinary = func() { _ = os.RemoveAll(dir) }
	path := filepath.Join(dir, "headway")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/headway")
	build.Dir = kube.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the controller: %w\n%s", err, out)
	}
	return path, nil
})

var removeBinary = func() {}

// process is a controller that runs with the token of an installed ServiceAccount.
type process struct {
	cmd    *exec.Cmd
	exited chan error

	mu    sync.Mutex
	lines []line
}

// line is what the tests read of a log line.
type line struct {
	Level, Msg, Name, Addr, Err string

	raw string
}

// run starts the controller with the rights of the ServiceAccount headway in the namespace.
func (w world) run(namespace string, args ...string) *process {
	w.Helper()
	return start(w.T, namespace, append(args, "--kubeconfig="+w.kubeconfigOf(namespace))...)
}

// start runs the controller until the test ends, as a pod in the namespace would be run.
func start(t *testing.T, namespace string, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "--logformat=json", "--healthzPort=0", "--metricsPort=0")
	p := &process{cmd: exec.Command(path, args...), exited: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "POD_NAMESPACE="+namespace)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("log of process %d:\n%s", p.cmd.Process.Pid, p.log())
		}
	})
	return p
}

// stop tells the process to release its Lease and end; one that has ended already is no error.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func (p *process) read(stderr io.Reader) {
	for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
		l := line{raw: scanner.Text()}
		_ = json.Unmarshal(scanner.Bytes(), &l) // A line that is not JSON is kept raw.
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.exited <- err
	close(p.exited)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.raw + "\n")
	}
	return b.String()
}

// address is where the process says that it serves something.
func (p *process) address(server string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.Msg == "starting server" && l.Name == server {
			return l.Addr, nil
		}
	}
	return "", fmt.Errorf("the %s server has not started", server)
}

// leading is nil once the process holds the Lease.
func (p *process) leading() error {
	if !strings.Contains(p.log(), "Successfully acquired lease") {
		return errors.New("it does not lead")
	}
	return nil
}

// ask gets a page of one of the servers.
func (p *process) ask(server, page string) (string, error) {
	address, err := p.address(server)
	if err != nil {
		return "", err
	}
	res, err := http.Get("http://" + strings.Replace(address, "[::]", "localhost", 1) + page)
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", page, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", page, err)
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", page, res.Status, body)
	}
	return string(body), nil
}

// kubeconfigOf writes a kubeconfig with a fresh token of the ServiceAccount and nothing else.
func (w world) kubeconfigOf(namespace string) string {
	w.Helper()
	token, err := w.client.CoreV1().ServiceAccounts(namespace).CreateToken(w.Context(), controllerSA, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["c"] = &clientcmdapi.Cluster{Server: w.Config.Host, CertificateAuthorityData: w.Config.CAData}
	cfg.AuthInfos["sa"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	cfg.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "sa", Namespace: namespace}
	cfg.CurrentContext = "c"
	path := filepath.Join(w.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		w.Fatal(err)
	}
	return path
}

// ready waits until the process is ready, and checks that the API server refused it nothing.
func (w world) ready(p *process) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		if _, err := p.ask("health", "/readyz"); err != nil {
			return err
		}
		_, err := p.ask("health", "/healthz")
		return err
	})
	if log := p.log(); strings.Contains(log, "forbidden") {
		w.Errorf("the installed rights do not suffice:\n%s", log)
	}
}

func TestTheStandbyIsReadyAndTakesOverAtOnce(t *testing.T) {
	w := newWorld(t)
	first := w.run(systemSpace)
	w.ready(first)
	kube.Eventually(t, within, first.leading)
	second := w.run(systemSpace)
	w.ready(second)
	if second.leading() == nil {
		t.Fatal("both lead")
	}
	stopped := time.Now()
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, within, second.leading)
	took := time.Since(stopped)
	t.Logf("the standby led %s after the leader was told to stop", took)
	// A Lease that is not released keeps the others waiting for its 15 s.
	if took > 10*time.Second {
		t.Errorf("the Lease was not released: it took %s", took)
	}
	if err := <-first.exited; err != nil {
		t.Errorf("a leader that is told to stop ends with an error: %v", err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	w := newWorld(t)
	p := w.run(systemSpace)
	w.ready(p)
	kube.Eventually(t, within, func() error { // Queues have figures once their controller has started.
		page, err := p.ask("metrics", "/metrics")
		if err != nil {
			return err
		}
		for _, want := range []string{
			`argo_rollouts_controller_info{version="dev"} 1`, "build_info{", "process_cpu_seconds_total", "rest_client_requests_total",
			`workqueue_work_duration_seconds_count{controller="Rollouts"`, `controller_runtime_max_concurrent_reconciles{controller="AnalysisRuns"} 30`, "leader_election_master_status",
		} {
			if !strings.Contains(page, want) {
				return fmt.Errorf("not served: %s", want)
			}
		}
		return nil
	})
}

func TestOneNamespaceIsServedWithItsOwnRights(t *testing.T) {
	w := newWorld(t)
	w.apply("", documents(t, overlay(t, "namespace: "+w.namespace+"\nresources: [../config/namespaced]\n")))
	p := w.run(w.namespace, "--namespaced")
	w.ready(p)
	kube.Eventually(t, within, p.leading)
}

// The control of the two tests above: too few rights are not called ready.
func TestMissingRightsAreNotReady(t *testing.T) {
	w := newWorld(t)
	w.apply("", documents(t, overlay(t, "namespace: "+w.namespace+"\nresources: [../config/namespaced]\n")))
	p := w.run(w.namespace) // Without --namespaced it asks for the whole cluster.
	kube.Eventually(t, within, func() error {
		if !strings.Contains(p.log(), "forbidden") {
			return errors.New("nothing was refused")
		}
		_, err := p.ask("health", "/healthz")
		return err
	})
	if _, err := p.ask("health", "/readyz"); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("want not ready, got %v", err)
	}
	told := time.Now()
	p.stop()
	if took := time.Since(told); took > within/2 {
		t.Errorf("it took %s to stop", took)
	}
}

// bare starts a cluster of the test's own, with nothing installed.
func bare(t *testing.T) *kube.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster: not with -short")
	}
	c, err := kube.Start(t.Context(), kube.Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func TestAClusterWithoutTheDefinitionsIsNamed(t *testing.T) {
	p := start(t, "headway-system", "--kubeconfig="+bare(t).Kubeconfig)
	exitedWith(t, p, 1, "install config/crd first")
}

// Whoever cannot renew the Lease can no longer know that it is alone.
func TestALeaderThatLosesTheAPIServerEnds(t *testing.T) {
	c := bare(t)
	if err := c.InstallCRDs(t.Context(), filepath.Join(kube.Root(), "config", "crd")); err != nil {
		t.Fatal(err)
	}
	p := start(t, "default", "--kubeconfig="+c.Kubeconfig, "--leader-election-lease-duration=3s",
		"--leader-election-renew-deadline=2s", "--leader-election-retry-period=500ms")
	kube.Eventually(t, within, p.leading)
	c.Stop()
	exitedWith(t, p, 1, "leader election lost")
}

func exitedWith(t *testing.T, p *process, code int, says string) {
	t.Helper()
	select {
	case err := <-p.exited:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(p.log(), says) {
			t.Errorf("want exit code %d and %q, got %v:\n%s", code, says, err, p.log())
		}
	case <-time.After(within):
		t.Errorf("it has not ended within %s:\n%s", within, p.log())
	}
}

func TestTheInstalledArgumentsAreAccepted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the controller: not with -short")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"default", "namespaced"} {
		for _, d := range convert[appsv1.Deployment](t, render(t, dir), "Deployment") {
			args := append(d.Spec.Template.Spec.Containers[0].Args, "--version")
			if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
				t.Errorf("config/%s: headway %s: %v\n%s", dir, strings.Join(args, " "), err, out)
			}
		}
	}
}
