package view

import "fmt"

// fold removes rows until the tree has at most limit rows, counting the root:
// first pods that are well, then all pods, then metrics, then the last branches,
// which are the oldest revisions of a rollout. The first branch always stays.
func fold(root node, limit int, branches string) node {
	for _, drop := range []struct {
		noun string
		gone func(node) bool
	}{
		{"pods", func(n node) bool { return n.kind == kindPod && n.health == Healthy }},
		{"pods", func(n node) bool { return n.kind == kindPod }},
		{"metrics", func(n node) bool { return n.kind == kindMetric }},
	} {
		if size(root) > limit {
			root = without(root, drop.noun, drop.gone)
		}
	}
	gone := 0
	for size(root) > limit && len(root.children) > 1 {
		root.children = root.children[:len(root.children)-1]
		gone++
	}
	if gone > 0 {
		root.info = addInfo(root.info, fmt.Sprintf("+%d %s", gone, branches))
	}
	return root
}

func size(n node) int {
	rows := 1
	for _, c := range n.children {
		rows += size(c)
	}
	return rows
}

// without removes the nodes that gone names, and says on their parent how many went.
func without(n node, noun string, gone func(node) bool) node {
	var kept []node
	count := 0
	for _, c := range n.children {
		if gone(c) {
			count++
			continue
		}
		kept = append(kept, without(c, noun, gone))
	}
	n.children = kept
	if count > 0 {
		n.info = addInfo(n.info, fmt.Sprintf("+%d %s", count, noun))
	}
	return n
}

func addInfo(info, more string) string {
	if info == "" {
		return more
	}
	return info + " " + more
}
