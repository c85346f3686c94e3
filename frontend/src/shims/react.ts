// @better-upload/client ships its React hooks and its plain uploader in one module. Only the
// uploader is used here; the hooks are shaken off, and this stands in for the import they leave.
const absent = (): never => {
  throw new Error("React is not part of this front end.");
};

export const useCallback = absent;
export const useMemo = absent;
export const useState = absent;
