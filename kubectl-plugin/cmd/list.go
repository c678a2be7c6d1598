package cmd

import (
	"context"

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
	run := action(func(ctx context.Context, _ []string) error { return a.list(ctx, o) })
	list := &cobra.Command{Use: "list", Short: "List rollouts", Args: cobra.NoArgs, RunE: run}
	o.add(list.Flags())
	rollouts := &cobra.Command{
		Use:     "rollouts",
		Aliases: []string{"ro", "rollout"},
		Short:   "List rollouts",
		Example: "  kubectl rollouts list rollouts\n  kubectl rollouts list rollouts -A -o wide\n  kubectl rollouts list rollouts -w --timestamps",
		Args:    cobra.NoArgs,
		RunE:    run,
	}
	o.add(rollouts.Flags())
	list.AddCommand(rollouts)
	return list
}

func (o *listOptions) add(flags *pflag.FlagSet) {
	o.format.add(flags)
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "list the rollouts of all namespaces")
	flags.StringVar(&o.name, "name", "", "list only the rollout of this name")
	flags.BoolVar(&o.timestamps, "timestamps", false, "print when each row was seen")
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on listing the rollouts that change")
}

func (a *app) list(ctx context.Context, o *listOptions) error {
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
	views, err := a.listed(ctx, s, o)
	if err != nil {
		return err
	}
	if len(views) == 0 && !o.watch && (o.format.value == formatTable || o.format.value == formatWide) {
		a.say("No rollouts found %s.\n", where(s))
		return nil
	}
	if err := a.printList(views, o, false); err != nil {
		return err
	}
	if !o.watch {
		return nil
	}
	return a.watchList(ctx, s, o, views)
}

func where(s session) string {
	if s.namespace == "" {
		return "in any namespace"
	}
	return "in namespace " + s.namespace
}

func (s session) listing() attempt {
	return attempt{doing: "listing rollouts", verb: "list", resource: "rollouts.argoproj.io", namespace: s.namespace}
}

// listed reads the rollouts alone: a list shows nothing of what they own.
func (a *app) listed(ctx context.Context, s session, o *listOptions) ([]view.RolloutView, error) {
	var list v1alpha1.RolloutList
	if err := s.List(ctx, &list, client.InNamespace(s.namespace)); err != nil {
		return nil, s.listing().failed(err)
	}
	views := make([]view.RolloutView, 0, len(list.Items)) // A list of nothing is a list, also as JSON.
	for i := range list.Items {
		if ro := &list.Items[i]; o.name == "" || ro.Name == o.name {
			views = append(views, a.look(ro, view.Owned{}))
		}
	}
	view.Sort(views)
	return views, nil
}

func (a *app) printList(views []view.RolloutView, o *listOptions, following bool) error {
	style, err := a.style()
	if err != nil {
		return err
	}
	columns := view.ListColumns{Namespace: o.all, Timestamp: o.timestamps, NoHeader: following}
	switch o.format.value {
	case formatName:
		for _, v := range views {
			if err := a.printf("%s\n", resourceName(v)); err != nil {
				return err
			}
		}
		return nil
	case formatJSON, formatYAML:
		if following {
			return a.document(views[0], o.format.value, true)
		}
		list := view.RolloutViewList{APIVersion: view.APIVersion, Kind: view.ListKind, Items: views}
		return a.document(list, o.format.value, o.watch)
	case formatWide:
		columns.Why, columns.Namespace, style.Width = true, true, 0
	}
	return a.printf("%s", view.List(views, style, columns))
}

// watchList prints the row of a rollout each time it changes.
func (a *app) watchList(ctx context.Context, s session, o *listOptions, seen []view.RolloutView) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rows := map[string]string{}
	for _, v := range seen {
		rows[v.Namespace+"/"+v.Name] = view.Summary(v)
	}
	for sighting := range a.follow(ctx, s, scope{namespace: s.namespace}) {
		if sighting.err != nil {
			return s.listing().failed(sighting.err)
		}
		ro := sighting.rollout
		v := a.look(ro, view.Owned{})
		key := v.Namespace + "/" + v.Name
		if sighting.gone {
			delete(rows, key)
			continue
		}
		if o.name != "" && ro.Name != o.name || rows[key] == view.Summary(v) {
			continue
		}
		rows[key] = view.Summary(v)
		if err := a.printList([]view.RolloutView{v}, o, true); err != nil {
			return err
		}
	}
	return interrupted("the watch")
}
