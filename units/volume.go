package units

// Volume is [Volume].
type Volume struct {
	Shared

	Copy       Bool
	Device     String
	Driver     String
	GID        String
	Group      ID
	Image      String
	Label      Pairs
	Options    String
	Type       String
	UID        String
	User       ID
	VolumeName String
}

// ImageDriver is the volume driver that makes a volume from an image.
const ImageDriver = "image"

func checkVolume(u *Unit, v *Volume) {
	if v.Driver.Text == ImageDriver {
		if v.Image.Text == "" {
			u.Errorf(v.Driver.At, "the key Image is mandatory when using the image driver")
		}
		return
	}
	if v.Type.Text != "" && v.Device.Text == "" {
		u.Errorf(v.Type.At, "key Type can't be used without Device")
	}
}
