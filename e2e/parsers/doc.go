// Package parsers tests that what ctkeeper render prints is accepted by the software that it is for: the types of
// kube-proxy and kubelet, the machine configuration of Talos, and the CNI plugin tuning itself.
//
// It is a module of its own, because ctkeeper does not need these libraries.
package parsers
