// Package owners checks which other tools and files assign the settings, and which of the assignments takes effect.
package owners
