// Package module checks why nf_conntrack is not loaded, or will not be: blacklists, module files,
// signatures, parameters.
package module
