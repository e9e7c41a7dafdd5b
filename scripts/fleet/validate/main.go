// Validate checks Kubernetes manifests as the API server does before it stores them,
// with the API server's own code: no field is unknown or given twice, defaults are
// filled in, and the object is one that may be created.
//
//	file ──► documents ──strict decoding──► object ──BeforeCreate──► errors
//
// It needs no cluster. What the objects do when they run it cannot say. With -q it
// prints errors only. Exit status: 0 all are valid, 1 one is not, 2 usage.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/batch/job"
)

func main() {
	quiet := flag.Bool("q", false, "print errors only")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "validate: which manifests?")
		os.Exit(2)
	}
	// As a cluster that runs system pods is set up (--allow-privileged).
	capabilities.Setup(true, 0)
	code := 0
	for _, path := range flag.Args() {
		text, err := os.ReadFile(path)
		if err == nil {
			err = validate(text, func(what string) {
				if !*quiet {
					fmt.Printf("%s: %s is valid\n", path, what)
				}
			})
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			code = 1
		}
	}
	os.Exit(code)
}

// validate checks the documents of a manifest, and says what each valid one is.
func validate(text []byte, valid func(what string)) error {
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	decoder := strict.UniversalDecoder(batch.SchemeGroupVersion, apps.SchemeGroupVersion)
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 0; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) && n == 0 {
			return errors.New("there is no document")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a document: %w", err)
		}
		object, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		what := fmt.Sprintf("%s %s", kind.Kind, kind.GroupVersion())
		if err := create(object, kind.Group, kind.Version); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		valid(what)
	}
}

// create does what the API server does with an object before it is stored.
func create(object runtime.Object, group, version string) error {
	var strategy rest.RESTCreateStrategy
	resource := ""
	switch object.(type) {
	case *batch.Job:
		strategy, resource = job.Strategy, "jobs"
	case *apps.DaemonSet:
		strategy, resource = daemonset.Strategy, "daemonsets"
	default:
		return fmt.Errorf("%T is no kind that is known here: Job, DaemonSet", object)
	}
	named, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	if named.GetNamespace() == "" {
		named.SetNamespace(metav1.NamespaceDefault)
	}
	rest.FillObjectMetaSystemFields(named)
	ctx := request.WithNamespace(context.Background(), named.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: group, APIVersion: version, Resource: resource})
	return rest.BeforeCreate(strategy, ctx, object)
}
