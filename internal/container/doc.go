// Package container describes to tests a container that is confined as the one in the chart's pod, for runc.
package container
