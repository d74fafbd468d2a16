import testing from "./testing.js";

export const { Reply, run } = testing;
export default testing;
