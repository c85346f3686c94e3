// Times as the server wrote them (UTC), in the reader's own time zone.
import { locale } from "./i18n";

const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

export function showLocalTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = moment.format(new Date(time.getAttribute("datetime")!));
  }
}
