// Package sgr has the colours of a terminal that the text of the commands and the live view share, as SGR sequences
// of ECMA-48 (select graphic rendition).
package sgr
