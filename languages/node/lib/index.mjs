import nightcore from "./index.js";

export const {
  Answer,
  HttpError,
  HttpStatusError,
  Metadata,
  NightcoreError,
  Reply,
  call,
  http,
  httpHandler,
  serve,
} = nightcore;
export default nightcore;
