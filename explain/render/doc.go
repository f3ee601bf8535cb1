// Package render writes the configuration with which another owner of conntrack settings agrees with ctkeeper, or
// leaves to ctkeeper what it keeps: kube-proxy, the kubelet, CRI-O, the CNI plugin tuning, Talos Linux, Bottlerocket
// and NixOS. A snippet is text; nothing is written.
//
// It stands beside event → observe → diff → apply → record, and depends on the configuration alone.
package render
