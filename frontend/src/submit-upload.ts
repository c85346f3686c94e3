// The upload of a chosen file, at submit: presigned PUT straight to storage, then confirmation.
import { uploadFile } from "@better-upload/client";
import { ApiError, api, offline } from "./api";
import { t } from "./i18n";

// Answers the id of the confirmed asset. `onProgress` hears 0…1.
export async function submitUpload(
  file: File,
  route: string,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const assetId = await send(file, route, onProgress, signal);
  await api("POST", `/api/assets/${assetId}/confirmation`);
  return assetId;
}

async function send(file: File, route: string, onProgress: (share: number) => void, signal: AbortSignal): Promise<string> {
  try {
    const { file: uploaded, metadata } = await uploadFile({
      route,
      file,
      signal,
      onFileStateChange: (change) => onProgress(change.file.progress),
    });
    const own = uploaded.objectInfo.metadata as Record<string, unknown> | undefined;
    return String((metadata as Record<string, unknown>)["assetId"] ?? own?.["assetId"]);
  } catch (error) {
    throw explained(error as { type?: string; message?: string });
  }
}

const STATUS: Record<string, number> = { unauthenticated: 401, rate_limited: 429 };

function explained(error: { type?: string; message?: string }): ApiError {
  const type = error.type ?? "unknown";
  if (type === "unknown") return offline();
  const message =
    type === "s3_upload"
      ? t("The upload was interrupted. Check your connection and try again.")
      : type === "aborted"
        ? t("The upload was stopped.")
        : error.message || t("Something went wrong. Please try again.");
  return new ApiError(type, message, STATUS[type] ?? 400, undefined, {});
}
