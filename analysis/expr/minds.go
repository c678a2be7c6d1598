package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// minds is which values without meaning an expression provides for.
type minds struct {
	// empty is a list without entries, absent is no value at all.
	empty, absent bool
	nan, inf      bool
	// emptyPart is a list without entries within the result.
	emptyPart bool
	// parts are the items of the result that it names by their number.
	parts []int
}

func (m minds) or(other minds) minds {
	return minds{
		empty: m.empty || other.empty, absent: m.absent || other.absent,
		nan: m.nan || other.nan, inf: m.inf || other.inf,
		emptyPart: m.emptyPart || other.emptyPart, parts: slices.Concat(m.parts, other.parts),
	}
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
		if n.Name == "len" && len(n.Arguments) == 1 {
			v.emptiness(n.Arguments[0])
		}
	case *ast.MemberNode:
		if number, ok := n.Property.(*ast.IntegerNode); ok && isResult(n.Node) {
			v.found.parts = append(v.found.parts, number.Value)
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
		if isNothing(n.Right) {
			v.emptiness(n.Left)
		}
		if isNothing(n.Left) {
			v.emptiness(n.Right)
		}
	}
}

// emptiness notes a list that an expression asks for entries.
func (v mindVisitor) emptiness(of ast.Node) {
	if chain, ok := of.(*ast.ChainNode); ok {
		of = chain.Node
	}
	if isResult(of) {
		v.found.empty = true
	}
	if member, ok := of.(*ast.MemberNode); ok && isField(member.Property) {
		v.found.emptyPart = true
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

func isField(property ast.Node) bool {
	_, ok := property.(*ast.StringNode)
	return ok
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
