// Package image writes images of containers from files alone: no base image, no
// registry, no daemon. One is an archive that `ctr images import`, `docker load`
// and `podman load` read. The same files give the same bytes.
package image
