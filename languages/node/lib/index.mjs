import nightcore from "./index.js";

export const { Answer, Metadata, NightcoreError, Reply, http, serve } = nightcore;
export default nightcore;
