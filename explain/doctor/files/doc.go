// Package files checks which configuration files could not be read, as a whole or in some lines.
package files
