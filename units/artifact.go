package units

// Artifact is [Artifact].
type Artifact struct {
	Shared
	Fetch

	Artifact String
	Quiet    Bool
}

func checkArtifact(u *Unit, a *Artifact) {
	if a.Artifact.Text == "" {
		u.Errorf(u.sectionPos(), "no Artifact key specified")
	}
}
