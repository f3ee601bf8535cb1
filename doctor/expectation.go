package doctor

func expectationChecks() []check { return nil }
