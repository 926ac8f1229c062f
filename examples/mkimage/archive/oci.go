package archive

// Media types of the OCI image format.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// refName is the annotation that holds an image's name in index.json.
const refName = "org.opencontainers.image.ref.name"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type ociManifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type ociIndex struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

func describe(mediaType string, b Blob) descriptor {
	return descriptor{MediaType: mediaType, Digest: b.Digest(), Size: b.Size}
}

func ociFiles(images []Image) (map[string]Blob, error) {
	files := map[string]Blob{"oci-layout": Bytes([]byte(`{"imageLayoutVersion":"1.0.0"}`))}
	index := ociIndex{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}}
	for _, image := range images {
		manifest, err := image.ociBlobs(files)
		if err != nil {
			return nil, err
		}
		index.Manifests = append(index.Manifests, named(describe(typeManifest, manifest), image.Names)...)
	}
	blob, err := jsonBlob(index)
	files["index.json"] = blob
	return files, err
}

// ociBlobs adds the image's blobs to files and returns its manifest.
func (i Image) ociBlobs(files map[string]Blob) (Blob, error) {
	config, err := i.configBlob()
	if err != nil {
		return Blob{}, err
	}
	m := ociManifest{SchemaVersion: 2, MediaType: typeManifest, Config: describe(typeConfig, config), Layers: []descriptor{}}
	for _, l := range i.Layers {
		m.Layers = append(m.Layers, describe(typeLayer, l))
	}
	manifest, err := jsonBlob(m)
	for _, b := range append([]Blob{config, manifest}, i.Layers...) {
		files["blobs/sha256/"+b.Hex] = b
	}
	return manifest, err
}

// named repeats the descriptor for each name, as index.json has room for one name per entry.
func named(d descriptor, names []string) []descriptor {
	if len(names) == 0 {
		return []descriptor{d}
	}
	var all []descriptor
	for _, n := range names {
		d.Annotations = map[string]string{refName: n}
		all = append(all, d)
	}
	return all
}
