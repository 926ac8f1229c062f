package units

// Image is [Image].
type Image struct {
	Shared
	Fetch

	AllTags  Bool
	Arch     String
	Image    String
	ImageTag String
	OS       String
	Policy   String
	Variant  String
}

func checkImage(u *Unit, i *Image) {
	if i.Image.Text == "" {
		u.Errorf(u.sectionPos(), "no Image key specified")
	}
}
