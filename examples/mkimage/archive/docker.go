package archive

type dockerItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func dockerFiles(images []Image) (map[string]Blob, error) {
	files := map[string]Blob{}
	items := []dockerItem{}
	for _, image := range images {
		config, err := image.configBlob()
		if err != nil {
			return nil, err
		}
		item := dockerItem{Config: config.Hex + ".json", RepoTags: image.Names, Layers: []string{}}
		files[item.Config] = config
		for _, l := range image.Layers {
			files[l.Hex+".tar"] = l
			item.Layers = append(item.Layers, l.Hex+".tar")
		}
		items = append(items, item)
	}
	blob, err := jsonBlob(items)
	files["manifest.json"] = blob
	return files, err
}
