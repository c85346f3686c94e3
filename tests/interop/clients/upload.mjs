// A page that uploads by better-upload's own client, as its documentation shows. `window.upload`
// answers what the client returned, or the error it threw, and what was heard on the way.
import { uploadFile, uploadFiles } from "@better-upload/client";

// files: [{name, type, start?: base64, size?: padded with zeros, claims?: {size}}]
window.upload = async ({ route = "tool-input", files, metadata }) => {
  const states = [];
  let begun = null;
  const params = {
    route,
    metadata,
    onUploadBegin: (told) => {
      begun = told;
    },
    onFileStateChange: ({ file }) => states.push([file.status, file.progress]),
  };
  const chosen = files.map(made);
  try {
    const one = chosen.length === 1;
    const done = await (one ? uploadFile({ ...params, file: chosen[0] }) : uploadFiles({ ...params, files: chosen }));
    return { done, states, begun };
  } catch (error) {
    return { error: { type: error.type, message: error.message }, states, begun };
  }
};

// The same through the call for many files, which tells of failed ones instead of throwing.
window.uploadAll = async ({ files }) => {
  const { files: done, failedFiles: failed } = await uploadFiles({ route: "tool-input", files: files.map(made) });
  return { done: done.length, errors: failed.map((file) => file.error) };
};

function made({ name, type, start = "", size, claims = {} }) {
  const first = Uint8Array.from(atob(start), (character) => character.charCodeAt(0));
  const rest = new Uint8Array(Math.max((size ?? first.length) - first.length, 0));
  const file = new File([first, rest], name, { type });
  // What the server is told; the file itself is another.
  for (const [what, claimed] of Object.entries(claims)) {
    Object.defineProperty(file, what, { get: () => claimed });
  }
  return file;
}
