package observer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func check(s *story) []string { return Check(ordered(s.changes), "web") }

func TestSoundHistoriesAreAccepted(t *testing.T) {
	for name, tell := range map[string]func(*testing.T) *story{
		"a first deployment":   first,
		"a good release":       promoted,
		"a release and a next": func(t *testing.T) *story { return promoted(t).replicaSet("v3", 2).rollout("v2", "v3", 0) },
		"a person skips the analysis": func(t *testing.T) *story {
			return halfway(t).promote("v1", "v2", 2).replicaSet("v2", 4).pods("v2", 3, 4).weight("100").
				rollout("v1", "v2", 3).service("stable", "v2").weight("0").rollout("v2", "v2", 3).replicaSet("v1", 0)
		},
		"a person skips everything": func(t *testing.T) *story {
			return halfway(t).rollout("v1", "v2", 1, allTheWay).rollout("v1", "v2", 3, allTheWay).replicaSet("v2", 4).pods("v2", 3, 4).
				service("stable", "v2").weight("0").rollout("v2", "v2", 3)
		},
		"a person aborts while the weight rises, and retries": func(t *testing.T) *story {
			return analysed(t).replicaSet("v2", 4).pods("v2", 3, 4).rollout("v1", "v2", 2, asked).weight("100").
				weight("0").rollout("v1", "v2", 0, toldAborted).service("canary", "v1").replicaSet("v2", 0).podsGone("v2", 1, 4).
				rollout("v1", "v2", 0).replicaSet("v2", 2).pods("v2", 1, 2).service("canary", "v2").weight("50").rollout("v1", "v2", 1).
				run("b", "Step", "Running")
		},
		"an abort with a stable pod missing": func(t *testing.T) *story {
			return halfway(t).podsGone("v1", 4, 4).rollout("v1", "v2", 0, toldAborted).weight("0")
		},
		"a bad verdict that crosses with a move": func(t *testing.T) *story {
			return analysed(t).run("b", "Background", "Running").run("b", "Background", "Failed").weight("60").
				rollout("v1", "v2", 0, toldAborted).weight("0")
		},
		"an analysis without a verdict that a person has made again": func(t *testing.T) *story {
			return halfway(t).run("a", "Step", "Inconclusive").run("a.1", "Step", "Running")
		},
		"a third revision": func(t *testing.T) *story {
			return halfway(t).replicaSet("v3", 0).rollout("v1", "v3", 0).weight("0").service("canary", "v3").replicaSet("v2", 0)
		},
		"scaling down and up again": func(t *testing.T) *story {
			s := promoted(t)
			return s.scaled(0).replicaSet("v2", 0).podsGone("v2", 1, 4).scaled(4).replicaSet("v2", 4).pods("v2", 1, 4)
		},
		"a stranger who changes what is his": func(t *testing.T) *story {
			return first(t).add(Service, "metadata: {name: other, managedFields: [{manager: kubectl}]}\nspec: {clusterIP: None}").
				add(Ingress, "metadata: {name: web, managedFields: [{manager: kubectl}]}\nspec: {ingressClassName: other}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if broken := check(tell(t)); len(broken) > 0 {
				t.Errorf("it complains:\n%s", strings.Join(broken, "\n"))
			}
		})
	}
}

// breach is a sound history and the change that spoils it.
type breach struct {
	sound func(*testing.T) *story
	spoil func(*story)
	want  string
}

// breaches are by rule the histories that it alone, or it as well, must see.
var breaches = map[string][]breach{
	"S1": {
		{halfway, func(s *story) { s.weight("101") }, "the weight is 101"},
		{halfway, func(s *story) { s.weight("-1") }, "the weight is -1"},
		{halfway, func(s *story) { s.weight("much") }, "reading the weight"},
	},
	"S2": {
		{halfway, func(s *story) { s.podsGone("v2", 1, 2) }, "v2 gets 50 and has no available pod"},
		{halfway, func(s *story) { s.replicaSet("v2", 0) }, "v2 shrank to nothing and gets 50"},
		{first, func(s *story) { s.service("stable", "v2") }, "v2 gets 100 and has no available pod"},
	},
	"S3": {
		{halfway, func(s *story) { s.service("stable", "v2").weight("0") }, "2 pods carry the traffic instead of 6, and 3 are the least"},
		{promoted, func(s *story) { s.replicaSet("v2", 2) }, "2 pods carry the traffic instead of 4"},
		{promoted, func(s *story) { s.gone(ReplicaSet, "web-v2") }, "0 pods carry the traffic instead of 4"},
	},
	"S4": {{halfway, func(s *story) { s.replicaSet("v2", 5) }, "v2 grew from 2 to 5 of 4 pods"}},
	"S5": {
		{halfway, func(s *story) { s.weight("75") }, "v2 gets 75 instead of 50 and has 2 of 3 pods"},
		{halfway, func(s *story) { s.service("stable", "v2") }, "v2 gets 100 instead of 50 and has 2 of 4 pods"},
		{halfway, func(s *story) { s.podsGone("v1", 3, 4).rollout("v1", "v2", 0, toldAborted).weight("0") }, "v1 gets 100 instead of 50 and has 2 of 3 pods"},
	},
	"S6": {
		{halfway, func(s *story) { s.replicaSet("v2", 1) }, "v2 shrank from 2 to 1 and needs 2 for its traffic"},
		{halfway, func(s *story) { s.replicaSet("v1", 3) }, "v1 is stable and shrank from 4 to 3 of 4"},
		{halfway, func(s *story) { s.gone(ReplicaSet, "web-v1") }, "v1 was deleted with pods or traffic"},
	},
	"S7": {
		{whole, func(s *story) { s.podsGone("v1", 1, 4) }, "the stable Service selects v1, which has no available pod"},
		{whole, func(s *story) { s.replicaSet("v1", 0) }, "the stable Service selects v1, which shrank to nothing"},
		{whole, func(s *story) { s.service("stable", "v0") }, "the stable Service selects v0, which has no available pod"},
	},
	"S8": {{halfway, func(s *story) { s.service("canary", "v1") }, "the canary Service moved from v2 to v1 under weight 50"}},
	"S9": {
		{halfway, func(s *story) { s.rollout("v1", "v2", 3) }, "the step went from 1 to 3"},
		{halfway, func(s *story) { s.rollout("v1", "v2", 0) }, "the step went back from 1 to 0"},
	},
	"S10": {
		{whole, func(s *story) { s.rollout("v2", "v2", 3) }, "v2 became stable with the stable Service on v1 and weight 100"},
		{whole, func(s *story) { s.service("stable", "v2").rollout("v2", "v2", 3) }, "v2 became stable with the stable Service on v2 and weight 100"},
		{halfway, func(s *story) { s.rollout("v0", "v2", 1) }, "v0 became stable and v2 is current"},
		{
			halfway,
			func(s *story) {
				s.replicaSet("v2", 4).pods("v2", 3, 4).service("stable", "v2").weight("0").rollout("v2", "v2", 3)
			},
			"v2 became stable without a good analysis of step 1",
		},
		{
			whole,
			func(s *story) {
				s.run("b", "Background", "Failed").service("stable", "v2").weight("0").rollout("v2", "v2", 3)
			},
			"v2 became stable and its analysis b is Failed",
		},
	},
	"S11": {
		{halfway, func(s *story) { s.rollout("v1", "v2", 2) }, "step 1 was left without a good verdict"},
		{halfway, func(s *story) { s.run("a", "Step", "Failed").rollout("v1", "v2", 2) }, "step 1 was left without a good verdict"},
		{halfway, func(s *story) { s.run("a", "Step", "Inconclusive").rollout("v1", "v2", 2) }, "step 1 was left without a good verdict"},
		{analysed, func(s *story) { s.run("b", "Background", "Error").weight("60").rollout("v1", "v2", 3) }, "the update went forward against b, which is Error"},
	},
	"S12": {
		{halfway, func(s *story) { s.rollout("v1", "v2", 0, toldAborted).weight("60") }, "the weight rose from 50 to 60"},
		{halfway, func(s *story) { s.rollout("v1", "v2", 0, toldAborted).replicaSet("v2", 3) }, "v2 grew from 2 to 3"},
		{halfway, func(s *story) { s.rollout("v1", "v2", 0, toldAborted).rollout("v1", "v2", 1, toldAborted) }, "the step went from 0 to 1"},
		{whole, func(s *story) { s.rollout("v1", "v2", 3, asked).rollout("v2", "v2", 3) }, "v2 became stable while the update is aborted"},
	},
	"S13": {
		{halfway, func(s *story) { s.weight("0").service("canary", "v1").service("canary", "v2") }, "a Service moves back and forth"},
		{promoted, func(s *story) { s.service("stable", "v1").service("stable", "v2") }, "a Service moves back and forth"},
	},
	"S14": {
		{halfway, func(s *story) {
			s.weight("0").service("canary", "v1").replicaSet("v2", 0).gone(ReplicaSet, "web-v2").replicaSet("v2", 1)
		}, "the ReplicaSet of v2 was created 2 times"},
		{halfway, func(s *story) { s.run("a", "Step", "Running").run("a.1", "Step", "Running") }, "a.1 asks the same as a"},
		{analysed, func(s *story) { s.run("a.1", "Step", "Running") }, "a.1 asks the same as a"},
		{halfway, func(s *story) { s.run("b", "Background", "Running").run("c", "Background", "Running") }, "c asks the same as b"},
	},
	"S15": {
		{first, func(s *story) { s.stableIngress("other") }, "the stable Ingress was changed"},
		{first, func(s *story) {
			s.add(Service, "metadata: {name: web-stable}\nspec: {ports: [{port: 81}], selector: {app: web, rollouts-pod-template-hash: v1}}")
		}, "more than the hash in the selector was changed"},
	},
	"S16": {
		{first, func(s *story) { s.add(Service, "metadata: {name: other, managedFields: [{manager: headway}]}") }, "it belongs to no Rollout, and the controller wrote to it"},
		{first, func(s *story) {
			s.add(ReplicaSet, "metadata: {name: other, labels: {app: web}, managedFields: [{manager: kubectl}, {manager: headway}]}")
		}, "it belongs to no Rollout, and the controller wrote to it"},
	},
}

func TestEveryRuleSeesWhatBreaksIt(t *testing.T) {
	for _, r := range rules {
		if len(breaches[r.number]) == 0 {
			t.Errorf("no history breaks %s", r.number)
		}
		for _, b := range breaches[r.number] {
			t.Run(r.number+" "+b.want, func(t *testing.T) {
				s := b.sound(t)
				if broken := check(s); len(broken) > 0 {
					t.Fatalf("it complains before anything is wrong:\n%s", strings.Join(broken, "\n"))
				}
				b.spoil(s)
				broken := check(s)
				if !slices.ContainsFunc(broken, func(line string) bool { return strings.Contains(line, ": "+r.number+" "+b.want) }) {
					t.Errorf("it does not see it, only:\n%s", strings.Join(broken, "\n"))
				}
			})
		}
	}
}

func TestAHistoryThatCannotBeReadIsBroken(t *testing.T) {
	s := first(t).add(Service, "metadata: {name: web-stable}\nspec: {ports: much}")
	if broken := check(s); len(broken) != 1 || !strings.Contains(broken[0], "reading Service web-stable") {
		t.Errorf("it says %q", broken)
	}
}

func TestASummaryTellsTwoEndsApart(t *testing.T) {
	summary := func(s *story) string {
		t.Helper()
		text, err := Summary(ordered(s.changes), "web")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	want := summary(promoted(t))
	for name, other := range map[string]*story{
		"the weight":       promoted(t).weight("10"),
		"a size":           promoted(t).replicaSet("v1", 1),
		"a pod":            promoted(t).podsGone("v2", 4, 4),
		"a Service":        promoted(t).service("canary", "v1"),
		"the step":         promoted(t).rollout("v2", "v2", 2),
		"an abort":         promoted(t).rollout("v2", "v2", 3, asked),
		"an analysis more": promoted(t).run("b", "Background", "Running"),
		"a phase":          promoted(t).rollout("v2", "v2", 3, ", phase: Healthy"),
	} {
		if got := summary(other); got == want {
			t.Errorf("it does not tell %s:\n%s", name, got)
		}
	}
	if got := summary(promoted(t)); got != want {
		t.Errorf("equal ends differ:\n%s", cmp.Diff(want, got))
	}
	if got := summary(promoted(t).gone(Rollout, "web")); got != "gone" {
		t.Errorf("a deleted Rollout is %q", got)
	}
}

func TestChangesAreOrderedOverAllKinds(t *testing.T) {
	s := halfway(t)
	shuffled := append([]Change(nil), s.changes[5:]...)
	shuffled = append(shuffled, s.changes[:7]...) // two of them twice
	got := ordered(shuffled)
	if len(got) != len(s.changes) {
		t.Fatalf("%d changes became %d", len(s.changes), len(got))
	}
	for i := range got {
		if got[i].Version != s.changes[i].Version {
			t.Errorf("change %d has version %d", i, got[i].Version)
		}
	}
}
