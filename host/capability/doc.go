// Package capability tells which capabilities this process has (capabilities(7)).
package capability
