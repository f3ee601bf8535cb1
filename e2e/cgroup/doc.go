// Package cgroup removes the control groups of a test, with those that programs made below them.
package cgroup
