// The 3D viewer, in a file of its own that is fetched on demand. Its decoders for compressed models
// would come from elsewhere; we show plain GLB files, so they are pointed at nothing of anybody's.
import type { ModelViewerElement } from "@google/model-viewer";

export type Viewer = ModelViewerElement;

const NOWHERE = "/static/";

// Read while the viewer's module runs: it has to be there before.
Object.assign(self, {
  ModelViewerElement: {
    dracoDecoderLocation: NOWHERE,
    ktx2TranscoderLocation: NOWHERE,
    lottieLoaderLocation: NOWHERE,
  },
});
await import("@google/model-viewer");

export function createViewer(): Viewer {
  return document.createElement("model-viewer") as Viewer;
}
