// Package charts has no code: its tests hold the Helm chart, the kustomizations and
// the Dockerfile to what Helm, kustomize, BuildKit and Kubernetes make of them, by
// their own libraries. It is a module of its own, so that none of these is a
// dependency of isthmus. `make charts` runs it.
package charts
