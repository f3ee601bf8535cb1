package doctor

func moduleChecks() []check { return nil }
