package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/manifest"
)

type createOptions struct {
	mutation
	files []string
	watch bool
}

func (a *app) createCommand() *cobra.Command {
	o := &createOptions{}
	c := &cobra.Command{
		Use:   "create",
		Short: "Create rollouts, experiments, analysis templates and analysis runs of files",
		Long: `Creates what is in files, in the order of the files. Each object is decoded
strictly first, so that a misspelt field is found before anything is created.`,
		Example: "  kubectl rollouts create -f cart-ab.yaml -w\n  kubectl rollouts create -f success-rate.yaml -f cart.yaml",
		Args:    cobra.NoArgs,
		RunE:    action(func(ctx context.Context, _ []string) error { return a.create(ctx, o) }),
	}
	c.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "file or http address with objects to create; - is standard input")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "show the rollout or experiment as it goes on")
	o.add(c.Flags())
	c.AddCommand(a.createRunCommand())
	return c
}

// creation is one object to create.
type creation struct {
	noun   noun
	object *unstructured.Unstructured
}

func (a *app) create(ctx context.Context, o *createOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	switch {
	case len(o.files) == 0:
		return usage("create needs a file", "for example: kubectl rollouts create -f cart-ab.yaml")
	case o.watch && o.dry():
		return usage("-w and --dry-run=server exclude each other", "nothing is created that could be watched")
	}
	var all []creation
	for _, name := range o.files {
		found, err := a.creations(ctx, name)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if o.watch {
		if err := watchable(all); err != nil {
			return err
		}
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := a.createOne(ctx, s, c, &o.mutation); err != nil {
			return err
		}
	}
	if !o.watch {
		return nil
	}
	return a.watchCreated(ctx, s, all[0])
}

// watchable says why what is created cannot be followed; nil when it can.
func watchable(all []creation) error {
	switch {
	case len(all) != 1:
		return usage(fmt.Sprintf("-w follows one object, and the files have %d", len(all)), "create them without -w, then: kubectl rollouts get rollout NAME -w")
	case all[0].noun.kind != rolloutNoun.kind && all[0].noun.kind != experimentNoun.kind:
		return usage(fmt.Sprintf("-w follows a Rollout or an Experiment, and this is %s %s", all[0].noun.article, all[0].noun.kind), "create it without -w")
	}
	return nil
}

func (a *app) watchCreated(ctx context.Context, s session, c creation) error {
	s.namespace = c.object.GetNamespace()
	o := &getOptions{format: newFormat(formatTree)}
	if c.noun.kind == experimentNoun.kind {
		w := &watcher[*v1alpha1.Experiment]{app: a, session: s, display: experimentDisplay, options: o}
		return w.follow(ctx, c.object.GetName())
	}
	w := &watcher[*v1alpha1.Rollout]{app: a, session: s, display: rolloutDisplay, options: o}
	return w.follow(ctx, c.object.GetName())
}

// creations are the objects of a file, all of which can be created as far as the file alone can tell.
func (a *app) creations(ctx context.Context, name string) ([]creation, error) {
	objects, err := a.objects(ctx, name)
	if err != nil {
		return nil, err
	}
	all := make([]creation, 0, len(objects))
	for _, o := range objects {
		c, err := creationOf(name, o)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// objects are what is in a file.
func (a *app) objects(ctx context.Context, name string) ([]manifest.Object, error) {
	text, err := a.readSource(ctx, name)
	if err != nil {
		return nil, err
	}
	objects, problems := manifest.Read(text)
	if len(problems) > 0 {
		return nil, inFile(name, problems[0].Line, problems[0].Message)
	}
	if len(objects) == 0 {
		return nil, &failure{code: ExitError, what: shownSource(name) + " has no objects", next: "name another file with -f"}
	}
	return objects, nil
}

// inFile is the failure of a file, by its line.
func inFile(name string, line int, message string) *failure {
	place := shownSource(name)
	if line > 0 {
		place = fmt.Sprintf("%s, line %d", place, line)
	}
	return &failure{code: ExitError, what: place + ": " + message, next: "correct the file; check it with: kubectl rollouts lint -f " + name}
}

func creationOf(name string, o manifest.Object) (creation, error) {
	n, typed := kindOf(o)
	if typed == nil {
		f := inFile(name, o.Line, fmt.Sprintf("create makes no %s of %s", o.Kind.Kind, o.Kind.GroupVersion()))
		f.next = "kubectl apply -f " + name
		return creation{}, f
	}
	if err := decode(name, o, typed); err != nil {
		return creation{}, err
	}
	// What is sent is what the file has, not what the types made of it.
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(o.JSON, &object.Object); err != nil {
		return creation{}, inFile(name, o.Line, manifest.Plain(err))
	}
	return creation{noun: n, object: object}, nil
}

// decode decodes an object of a file, and fails on a field that it does not have.
func decode(name string, o manifest.Object, into client.Object) error {
	unknown, err := manifest.Decode(o.JSON, into)
	switch {
	case err != nil:
		return inFile(name, o.Line, manifest.Plain(err))
	case len(unknown) > 0:
		return inFile(name, o.LineOf(unknown[0].Path), unknown[0].Path+": "+unknown[0].Message)
	}
	return nil
}

// kindOf is the kind of an object and an empty one of its type; nil for a kind that is not of this API.
func kindOf(o manifest.Object) (noun, client.Object) {
	if o.Kind.GroupVersion() != v1alpha1.GroupVersion {
		return noun{}, nil
	}
	types := map[string]client.Object{
		"Rollout": &v1alpha1.Rollout{}, "Experiment": &v1alpha1.Experiment{}, "AnalysisRun": &v1alpha1.AnalysisRun{},
		"AnalysisTemplate": &v1alpha1.AnalysisTemplate{}, "ClusterAnalysisTemplate": &v1alpha1.ClusterAnalysisTemplate{},
	}
	for _, n := range nouns {
		if n.kind == o.Kind.Kind {
			return n, types[n.kind]
		}
	}
	return noun{}, nil
}

func (a *app) createOne(ctx context.Context, s session, c creation, m *mutation) error {
	if err := a.place(s, c); err != nil {
		return err
	}
	if err := s.make(ctx, c.object, m); err != nil {
		doing := "creating " + c.noun.word
		if name := c.object.GetName(); name != "" {
			doing += fmt.Sprintf(" '%s'", name)
		}
		return c.noun.attempt(doing, "create", s.namespace).failed(err)
	}
	return a.printf("%s created%s\n", c.noun.resourceName(c.object.GetName()), m.suffix())
}

// place sets the namespace of an object that names none. A namespace that the
// user gave besides that of the file is a mistake in one of the two.
func (a *app) place(s session, c creation) error {
	switch in := c.object.GetNamespace(); {
	case c.noun.wide:
		c.object.SetNamespace("")
	case in == "":
		c.object.SetNamespace(s.namespace)
	case in != s.namespace && a.flags.Namespace != nil && *a.flags.Namespace != "":
		return usage(fmt.Sprintf("%s '%s' is of namespace %s, and -n says %s", c.noun.word, c.object.GetName(), in, s.namespace), "give -n "+in+", or leave it out")
	}
	return nil
}

// make creates an object.
func (s session) make(ctx context.Context, object client.Object, m *mutation) error {
	opts := []client.CreateOption{client.FieldOwner(fieldManager)}
	if m.dry() {
		opts = append(opts, client.DryRunAll)
	}
	return s.Create(ctx, object, opts...) //nolint:wrapcheck // The caller says what was being done.
}
