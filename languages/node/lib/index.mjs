import nightcore from "./index.js";

export const { Answer, Metadata, NightcoreError, Reply, call, http, serve } = nightcore;
export default nightcore;
