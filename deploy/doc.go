// Package deploy holds what puts Parley on machines: settings, a unit for
// systemd, a container file, a compose file and manifests for Kubernetes. Its
// tests hold them to the program they are for.
package deploy
