package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

type listOptions struct {
	format     format
	all        bool
	name       string
	timestamps bool
	watch      bool
}

func (a *app) listCommand() *cobra.Command {
	o := &listOptions{format: newFormat(formatTable, formatWide, formatJSON, formatYAML, formatName)}
	ofRollouts, ofExperiments := action(lister(a, o, rolloutRoster)), action(lister(a, o, experimentRoster))
	list := &cobra.Command{Use: "list", Short: "List rollouts or experiments", Args: cobra.NoArgs, RunE: ofRollouts}
	o.add(list.Flags(), rolloutNoun)
	rollouts := &cobra.Command{
		Use:     "rollouts",
		Aliases: []string{"ro", "rollout"},
		Short:   "List rollouts",
		Example: "  kubectl rollouts list rollouts\n  kubectl rollouts list rollouts -A -o wide\n  kubectl rollouts list rollouts -w --timestamps",
		Args:    cobra.NoArgs,
		RunE:    ofRollouts,
	}
	o.add(rollouts.Flags(), rolloutNoun)
	experiments := &cobra.Command{
		Use:     "experiments",
		Aliases: []string{"exp", "experiment"},
		Short:   "List experiments",
		Example: "  kubectl rollouts list experiments\n  kubectl rollouts list experiments -A -o wide",
		Args:    cobra.NoArgs,
		RunE:    ofExperiments,
	}
	o.add(experiments.Flags(), experimentNoun)
	list.AddCommand(rollouts, experiments)
	return list
}

func (o *listOptions) add(flags *pflag.FlagSet, n noun) {
	o.format.add(flags)
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, fmt.Sprintf("list the %ss of all namespaces", n.word))
	flags.StringVar(&o.name, "name", "", fmt.Sprintf("list only the %s of this name", n.word))
	flags.BoolVar(&o.timestamps, "timestamps", false, "print when each row was seen")
	flags.BoolVarP(&o.watch, "watch", "w", false, fmt.Sprintf("go on listing the %ss that change", n.word))
}

// roster is how a kind of object T is listed, as views V. A list shows nothing
// of what the objects own, so it reads the objects alone.
type roster[T client.Object, V any] struct {
	family   family[T]
	look     func(*app, T) V
	sort     func([]V)
	table    func([]V, view.Style, view.ListColumns) string
	document func([]V) any
	summary  func(V) string
	name     func(V) string
}

var (
	rolloutRoster = roster[*v1alpha1.Rollout, view.RolloutView]{
		family: rollouts, sort: view.Sort, table: view.List, summary: view.Summary,
		look: func(a *app, ro *v1alpha1.Rollout) view.RolloutView { return a.look(ro, view.Owned{}) },
		name: func(v view.RolloutView) string { return v.Name },
		document: func(views []view.RolloutView) any {
			return view.RolloutViewList{APIVersion: view.APIVersion, Kind: view.ListKind, Items: views}
		},
	}
	experimentRoster = roster[*v1alpha1.Experiment, view.ExperimentView]{
		family: experiments, sort: view.SortExperiments, table: view.ExperimentList, summary: view.ExperimentSummary,
		look: func(a *app, e *v1alpha1.Experiment) view.ExperimentView {
			return a.lookAtExperiment(e, view.Owned{})
		},
		name: func(v view.ExperimentView) string { return v.Name },
		document: func(views []view.ExperimentView) any {
			return view.ExperimentViewList{APIVersion: view.APIVersion, Kind: view.ExperimentListKind, Items: views}
		},
	}
)

// listing is one run of list.
type listing[T client.Object, V any] struct {
	roster[T, V]
	app     *app
	options *listOptions
	session session
}

// lister is the list command of one kind.
func lister[T client.Object, V any](a *app, o *listOptions, r roster[T, V]) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) error {
		if err := o.format.check(); err != nil {
			return err
		}
		s, err := a.connect(a.flags)
		if err != nil {
			return err
		}
		if o.all {
			s.namespace = ""
		}
		l := listing[T, V]{roster: r, app: a, options: o, session: s}
		return l.run(ctx)
	}
}

func (l listing[T, V]) run(ctx context.Context) error {
	o := l.options
	objects, err := l.family.all(ctx, l.session)
	if err != nil {
		return l.family.listing(l.session).failed(err)
	}
	rows := map[client.ObjectKey]string{}
	views := make([]V, 0, len(objects)) // A list of nothing is a list, also as JSON.
	for _, object := range objects {
		if o.name == "" || object.GetName() == o.name {
			v := l.look(l.app, object)
			views, rows[client.ObjectKeyFromObject(object)] = append(views, v), l.summary(v)
		}
	}
	l.sort(views)
	if len(views) == 0 && !o.watch && (o.format.value == formatTable || o.format.value == formatWide) {
		l.app.say("No %ss found %s.\n", l.family.noun.word, where(l.session))
		return nil
	}
	if err := l.print(views, false); err != nil {
		return err
	}
	if !o.watch {
		return nil
	}
	return l.watch(ctx, rows)
}

func where(s session) string {
	if s.namespace == "" {
		return "in any namespace"
	}
	return "in namespace " + s.namespace
}

// print prints rows in the format asked for, or those that follow in a watch.
func (l listing[T, V]) print(views []V, following bool) error {
	style, err := l.app.style()
	if err != nil {
		return err
	}
	o := l.options
	columns := view.ListColumns{Namespace: o.all, Timestamp: o.timestamps, NoHeader: following}
	switch o.format.value {
	case formatName:
		for _, v := range views {
			if err := l.app.printf("%s\n", l.family.noun.resourceName(l.name(v))); err != nil {
				return err
			}
		}
		return nil
	case formatJSON, formatYAML:
		if following {
			return l.app.document(views[0], o.format.value, true)
		}
		return l.app.document(l.document(views), o.format.value, o.watch)
	case formatWide:
		columns.Why, columns.Namespace, style.Width = true, true, 0
	}
	return l.app.printf("%s", l.table(views, style, columns))
}

// watch prints the row of an object each time it changes.
func (l listing[T, V]) watch(ctx context.Context, rows map[client.ObjectKey]string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := &follower[T]{session: l.session, scope: scope{namespace: l.session.namespace}, family: l.family, clock: l.app.clock}
	for seen := range f.start(ctx) {
		if seen.err != nil {
			return l.family.listing(l.session).failed(seen.err)
		}
		key := client.ObjectKeyFromObject(seen.object)
		if seen.gone {
			delete(rows, key)
			continue
		}
		v := l.look(l.app, seen.object)
		if o := l.options; o.name != "" && key.Name != o.name || rows[key] == l.summary(v) {
			continue
		}
		rows[key] = l.summary(v)
		if err := l.print([]V{v}, true); err != nil {
			return err
		}
	}
	return interrupted("the watch")
}
