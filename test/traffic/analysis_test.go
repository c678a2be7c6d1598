package traffic

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// measuredAbove reports when no AnalysisRun failed, or failed for another reason than
// values above a limit that were measured. The abort must come from the traffic.
func (s *scene) measuredAbove(limit float64) {
	s.Helper()
	var list v1alpha1.AnalysisRunList
	if err := s.world.client.List(s.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		s.Fatal(err)
	}
	above := 0
	for i := range list.Items {
		for _, result := range list.Items[i].Status.MetricResults {
			for _, m := range result.Measurements {
				s.Logf("%s: measured %s, %s %s", list.Items[i].Name, m.Value, m.Phase, m.Message)
				if value, err := single(m.Value); err == nil && value > limit && m.Phase == v1alpha1.AnalysisPhaseFailed {
					above++
				}
			}
		}
	}
	if above == 0 {
		s.Errorf("no AnalysisRun of %d failed for an error rate", len(list.Items))
	}
}

// single is the number in a vector of one sample, such as [0.3].
func single(text string) (float64, error) {
	value, err := strconv.ParseFloat(strings.Trim(text, "[]"), 64)
	if err != nil {
		return 0, fmt.Errorf("reading a measurement: %w", err)
	}
	return value, nil
}

// withoutCanary asks for a Rollout that was aborted and whose canary pods have gone.
func withoutCanary(ro *v1alpha1.Rollout) error {
	if err := aborted(ro); err != nil {
		return err
	}
	if ro.Status.Replicas != ro.DesiredReplicas() {
		return fmt.Errorf("%d pods are there", ro.Status.Replicas)
	}
	return nil
}
