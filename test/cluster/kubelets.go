package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
)

//go:embed stages/*.yaml
var stageFiles embed.FS

const (
	// podCIDR has room for 65,000 pods; kwok hands out addresses beyond a smaller
	// range without a word.
	podCIDR = "10.128.0.0/16"

	// leaseSeconds must not be 0: without leases the nodes go NotReady after 50 s
	// and every pod with them.
	leaseSeconds = 40
)

// startKubelets runs one kwok for all nodes and creates the nodes.
func startKubelets(ctx context.Context, a *api, kubeconfig string, w *workFolder, nodes int) error {
	logs, err := os.Create(w.path("kwok.log"))
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	ctx = log.NewContext(ctx, log.NewLogger(logs, log.LevelWarn))
	stages, err := readStages()
	if err != nil {
		return fmt.Errorf("reading the stages: %w", err)
	}
	conf, err := kubeletConfig(a, kubeconfig, stages)
	if err != nil {
		return fmt.Errorf("making the configuration: %w", err)
	}
	kubelets, err := controllers.NewController(conf)
	if err != nil {
		return fmt.Errorf("making the controller: %w", err)
	}
	if err := kubelets.Start(ctx); err != nil {
		return fmt.Errorf("starting the controller: %w", err)
	}
	for i := range nodes {
		if _, err := a.client.CoreV1().Nodes().Create(ctx, newNode(i), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating node %d: %w", i, err)
		}
	}
	return nil
}

func kubeletConfig(a *api, kubeconfig string, stages map[internalversion.StageResourceRef][]*internalversion.Stage) (controllers.Config, error) {
	set, err := client.NewClientset("", kubeconfig)
	if err != nil {
		return controllers.Config{}, fmt.Errorf("making clients: %w", err)
	}
	cfg, err := set.ToRESTConfig()
	if err != nil {
		return controllers.Config{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	restClient, err := rest.RESTClientFor(cfg)
	if err != nil {
		return controllers.Config{}, fmt.Errorf("making a REST client: %w", err)
	}
	dynamicClient, err := set.ToDynamicClient()
	if err != nil {
		return controllers.Config{}, fmt.Errorf("making a dynamic client: %w", err)
	}
	mapper, err := set.ToRESTMapper()
	if err != nil {
		return controllers.Config{}, fmt.Errorf("making a REST mapper: %w", err)
	}
	return controllers.Config{
		Clock:                     clock.RealClock{},
		ID:                        "cluster",
		DynamicClient:             dynamicClient,
		RESTClient:                restClient,
		RESTMapper:                mapper,
		TypedClient:               a.client,
		ManageAllNodes:            true,
		CIDR:                      podCIDR,
		NodeIP:                    "10.0.0.1",
		LocalStages:               stages,
		PodPlayStageParallelism:   8,
		NodePlayStageParallelism:  2,
		NodeLeaseDurationSeconds:  leaseSeconds,
		NodeLeaseParallelism:      2,
		PodsOnNodeSyncParallelism: 2,
		FuncMap:                   gotpl.FuncMap{"PodStatus": renderPodStatus, "NodeStatus": renderNodeStatus},
	}, nil
}

// readStages reads the embedded stages, grouped by the kind they play on.
func readStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	entries, err := stageFiles.ReadDir("stages")
	if err != nil {
		return nil, err
	}
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, e := range entries {
		data, err := stageFiles.ReadFile(filepath.Join("stages", e.Name()))
		if err != nil {
			return nil, err
		}
		stage, err := config.UnmarshalWithType[*internalversion.Stage](data)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", e.Name(), err)
		}
		ref := stage.Spec.ResourceRef
		stages[ref] = append(stages[ref], stage)
	}
	return stages, nil
}

// newNode is a node that is Ready as it registers, like a kubelet that is quick.
func newNode(i int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			corev1.LabelHostname:     name,
			corev1.LabelOSStable:     "linux",
			corev1.LabelArchStable:   "amd64",
			corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3),
		},
	}}
	node.Status = nodeStatus(node)
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)},
		{Type: corev1.NodeHostName, Address: name},
	}
	return node
}

// nodeStatus makes a node Ready and large enough never to be the limit of a test.
func nodeStatus(node *corev1.Node) corev1.NodeStatus {
	now := metav1.Now()
	s := corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
		KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "sim://1", OperatingSystem: "linux", Architecture: "amd64",
	}}
	s.Capacity = node.Status.Capacity
	if len(s.Capacity) == 0 {
		s.Capacity = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("1000"),
			corev1.ResourceMemory: resource.MustParse("4Ti"),
			corev1.ResourcePods:   resource.MustParse("20000"),
		}
	}
	s.Allocatable = s.Capacity
	conditions := map[corev1.NodeConditionType]corev1.ConditionStatus{
		corev1.NodeReady:          corev1.ConditionTrue,
		corev1.NodeMemoryPressure: corev1.ConditionFalse,
		corev1.NodeDiskPressure:   corev1.ConditionFalse,
		corev1.NodePIDPressure:    corev1.ConditionFalse,
	}
	for t, status := range conditions {
		s.Conditions = append(s.Conditions, corev1.NodeCondition{
			Type: t, Status: status, Reason: "Simulated", LastHeartbeatTime: now, LastTransitionTime: now,
		})
	}
	return s
}

// renderNodeStatus is nodeStatus for the stages' templates.
func renderNodeStatus(node any) (string, error) {
	var n corev1.Node
	if err := convert(node, &n); err != nil {
		return "", fmt.Errorf("reading a node: %w", err)
	}
	out, err := json.Marshal(nodeStatus(&n))
	return string(out), err
}
