// Command pause is the process that holds a pod's namespaces: it waits for the signal that ends it.
package main
