// Package spelling finds the known word that a misspelt one stands for, for messages to people.
package spelling
