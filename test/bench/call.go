package main

import (
	"net/http"
	"slices"
	"strings"
)

// call is one kind of request to the API server, in the words of its RBAC.
type call struct {
	Verb string
	// Resource is the plural, with the subresource behind a slash; "other" for
	// discovery, health and versions.
	Resource string
}

// The resources that are not part of the work of a rollout.
const (
	otherResource  = "other"
	eventsResource = "events"
	leasesResource = "leases"
)

// writes reports whether the call may change an object.
func (c call) writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, c.Verb)
}

// callOf names the call of a request.
func callOf(r *http.Request) call {
	resource, named := resourceOf(r.URL.Path)
	return call{Verb: verbOf(r, named), Resource: resource}
}

// verbOf is the API server's verb: a GET of a collection is a list, or a watch.
func verbOf(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if named {
			return "delete"
		}
		return "deletecollection"
	}
	watch := r.URL.Query().Get("watch")
	switch {
	case watch == "true" || watch == "1":
		return "watch"
	case named:
		return "get"
	}
	return "list"
}

// resourceOf reads the path of a request: /api/v1/… or /apis/group/version/…,
// then namespaces/name when namespaced, then resource, name and subresource. Named
// tells an object from a collection.
func resourceOf(path string) (resource string, named bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		return otherResource, true
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	resource = parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return resource, len(parts) > 1
}
