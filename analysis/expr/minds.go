package expr

import "github.com/expr-lang/expr/ast"

// minds is which values without meaning an expression provides for.
type minds struct {
	// empty is a list without entries, absent is no value at all.
	empty, absent bool
	nan, inf      bool
}

func (m minds) or(other minds) minds {
	return minds{m.empty || other.empty, m.absent || other.absent, m.nan || other.nan, m.inf || other.inf}
}

// mindsOf finds what shows that the author thought of missing data and of
// values that are not numbers. Functions that are just as content with nothing,
// such as count and filter, show nothing: only the length of the result itself
// tells an empty list from a good one.
func mindsOf(node ast.Node) minds {
	var m minds
	ast.Walk(&node, mindVisitor{&m})
	return m
}

type mindVisitor struct{ found *minds }

// Visit is called for each node of an expression.
func (v mindVisitor) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.NilNode:
		v.found.absent = true
	case *ast.BinaryNode:
		v.operator(n)
	case *ast.BuiltinNode:
		if n.Name == "len" && len(n.Arguments) == 1 && isResult(n.Arguments[0]) {
			v.found.empty = true
		}
	case *ast.IdentifierNode:
		v.name(n.Value)
	}
}

func (v mindVisitor) operator(n *ast.BinaryNode) {
	switch n.Operator {
	case "??":
		v.found.absent = true
	case "==", "!=":
		if isResult(n.Left) && isNothing(n.Right) || isNothing(n.Left) && isResult(n.Right) {
			v.found.empty = true
		}
	}
}

func (v mindVisitor) name(name string) {
	switch name {
	case "isNil", "default":
		v.found.absent = true
	case "isNaN":
		v.found.nan = true
	case "isInf":
		v.found.inf = true
	}
}

func isResult(node ast.Node) bool {
	name, ok := node.(*ast.IdentifierNode)
	return ok && name.Value == "result"
}

// isNothing reports an empty list or map as it is written.
func isNothing(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.ArrayNode:
		return len(n.Nodes) == 0
	case *ast.MapNode:
		return len(n.Pairs) == 0
	default:
		return false
	}
}
