// Package capability reports which capabilities this process has (capabilities(7)), and describes what it cannot do
// without them.
package capability
