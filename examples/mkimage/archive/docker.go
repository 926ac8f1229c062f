package archive

import "strings"

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
		item := dockerItem{Config: config.Hex + ".json", RepoTags: tagged(image.Names), Layers: []string{}}
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

// tagged adds the tag latest where a name has none, as readers of docker-archives insist on one.
func tagged(names []string) []string {
	var all []string
	for _, n := range names {
		if strings.LastIndexByte(n, ':') <= strings.LastIndexByte(n, '/') {
			n += ":latest"
		}
		all = append(all, n)
	}
	return all
}
