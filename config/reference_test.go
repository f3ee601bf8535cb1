package config

import "testing"

func TestReferenceIsCurrent(t *testing.T) { golden(t, "../docs/configuration.md", Reference()) }
