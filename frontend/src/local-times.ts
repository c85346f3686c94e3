// Times as the server wrote them (UTC), in the reader's own time zone; spans stay as they are.
import { locale } from "./i18n";

const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

export function showLocalTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll("time[datetime]:not([data-as-it-is])")) {
    time.textContent = moment.format(new Date(time.getAttribute("datetime")!));
  }
}
