(* The checker of Tree.v over the big numbers of Bignums, which the virtual
   machine computes with, and that it computes the same. *)
Require Import ZArith Reals List Lia Bool. From Bignums Require Import BigZ. From Ax Require Import Tree.
Import ListNotations.
Local Notation B := BigZ.t.
Local Notation phi := BigZ.to_Z.
Local Open Scope bigZ_scope.
(* The words of an exported tree that are those of Tree.v. *)
Notation Slope := Tree.Slope.
Notation Beta := Tree.Beta.
Notation above := Tree.above.
Notation hintsB := (Tree.hints BigZ.t).
Section N.
Variables s p : B.
Definition SB := BigZ.shiftl 1 s. Definition DB := BigZ.shiftl 1 p.
Definition flB (k v : B) : B := BigZ.shiftr v k.
Fixpoint vaddmulB (k : B) (row acc : list B) : list B :=
  match row, acc with
  | a :: row', b :: acc' => (k * a + b) :: vaddmulB k row' acc'
  | [], _ => acc
  | _, [] => map (BigZ.mul k) row
  end.
Fixpoint wsumB (l : list (B * list B)) (nu : list B) (acc : list B) (be : B) :=
  match l, nu with
  | (b, row) :: l', k :: nu' =>
      if BigZ.eqb k 0 then wsumB l' nu' acc be else wsumB l' nu' (vaddmulB k row acc) (k * b + be)
  | _, _ => (acc, be)
  end.
Definition brkB (mu nu z : B) := mu * BigZ.max 0 z - nu * z.
Definition gamB (mu nu l u : B) :=
  let m := BigZ.min (brkB mu nu l) (brkB mu nu u) in
  if (BigZ.ltb l 0 && BigZ.ltb 0 u)%bool then BigZ.min m 0 else m.
Definition crownB (mu l u : B) :=
  if BigZ.leb 0 l then mu else if BigZ.leb u 0 then 0
  else if BigZ.leb 0 mu then (if BigZ.ltb (- l) u then mu else 0)
  else BigZ.div (mu * u) (u - l).
Definition hintedB (h : option (hint B)) (mu l u : B) : B :=
  match h with
  | None => crownB mu l u
  | Some (Slope a) =>
      if (BigZ.leb 0 mu && BigZ.ltb l 0 && BigZ.ltb 0 u)%bool then flB 7 (mu * a) else crownB mu l u
  | Some (Beta b) => if BigZ.leb 0 l then mu - b else b
  end.
Fixpoint relu_backB (bs : list (B*B)) (hs : list (nat * hint B)) (mu : list B) (ga : B) : list B * B :=
  match bs, mu with
  | (l,u) :: bs', m :: mu' =>
      let '(h, hs') := next hs in
      let nu := hintedB h m l u in
      let g := gamB m nu l u in
      let '(r, ga') := relu_backB bs' hs' mu' (g + ga) in (nu :: r, ga')
  | _, _ => ([], ga)
  end.
Fixpoint box_minB (bx : list (B*B)) (e : list B) : B :=
  match bx, e with
  | (l,u) :: bx', a :: e' => BigZ.min (a * l) (a * u) + box_minB bx' e'
  | _, _ => 0
  end.
Fixpoint backrB (bx : list (B*B)) (ls : list (list (B * list B) * list (B*B))) (hs : hints B) (e : list B) (be : B) : B :=
  match ls with
  | [] => flB (p+s) (box_minB bx e + be * DB)
  | (l, bs) :: ls' =>
      let '(h, hs') := front hs in
      let mu := map (flB s) e in
      let '(nu, ga) := relu_backB bs h mu 0 in
      let '(e', be') := wsumB l nu [] 0 in
      backrB bx ls' hs' e' (be' + flB p ga * SB + be)
  end.
Definition zmapB (k : B) (v : list B) := map (BigZ.mul k) v.
Definition neuron_boundsB bx ls (h : hints B * hints B) (n : B * list B) : B * B :=
  let '(b, row) := n in
  (backrB bx ls (fst h) (zmapB DB row) (DB * b), - backrB bx ls (snd h) (zmapB (-DB) row) (-DB * b)).
Fixpoint net_boundsB (bx : list (B*B)) hid :=
  match hid with
  | [] => []
  | l :: hid' => let r := net_boundsB bx hid' in (l, map (neuron_boundsB bx r ([], [])) l) :: r
  end.
Definition meetB (a b : B*B) := (BigZ.max (fst a) (fst b), BigZ.min (snd a) (snd b)).
Definition tightenB bx ls h (n : B * list B) (b : B*B) : B*B :=
  if (BigZ.leb 0 (fst b) || BigZ.leb (snd b) 0)%bool then b else meetB b (neuron_boundsB bx ls h n).
Fixpoint tighten_allB bx ls (hs : list (nat * (hints B * hints B))) (l : list (B * list B)) (bs : list (B*B)) : list (B*B) :=
  match l, bs with
  | n :: l', b :: bs' => let '(h, hs') := next hs in tightenB bx ls (both h) n b :: tighten_allB bx ls hs' l' bs'
  | _, _ => []
  end.
Fixpoint reboundB (bx : list (B*B)) (hs : slopes B) (tab : list (list (B * list B) * list (B*B))) :=
  match tab with
  | [] => []
  | (l, bs) :: tab' => let '(h, hs') := front hs in
      let r := reboundB bx hs' tab' in (l, tighten_allB bx r h l bs) :: r
  end.
Inductive treeB :=
| DoneB
| RefuteB (c r : nat) (hs : hints B) (t : treeB)
| ForkB (m : nat) (a b : treeB)
| BoundB (hs : slopes B) (t : treeB)
| RSplitB (k i : nat) (tpos tneg : treeB)
| ISplitB (j : nat) (v : B) (tlow thigh : treeB).
Definition rposB (b : B*B) := (BigZ.max 0 (fst b), snd b).
Definition rnegB (b : B*B) := (fst b, BigZ.min 0 (snd b)).
Definition refineB (f : B*B -> B*B) (k i : nat) (tab : list (list (B * list B) * list (B*B))) :=
  upd k (fun lb => (fst lb, upd i f (snd lb))) tab.
Definition refutedB bx tab (cs : list (list (B * list B))) c r hs : bool :=
  match nth_error cs c with
  | Some rows =>
      match nth_error rows r with
      | Some n => BigZ.ltb 0 (backrB bx tab hs (zmapB DB (snd n)) (DB * fst n))
      | None => false
      end
  | None => false
  end.
Fixpoint checkB (bx : list (B*B)) tab (cs : list (list (B * list B)))
         (t : treeB) : bool :=
  match t with
  | DoneB => match cs with [] => true | _ => false end
  | RefuteB c r hs t' => if refutedB bx tab cs c r hs then checkB bx tab (drop c cs) t' else false
  | ForkB m a b => if checkB bx tab (firstn m cs) a then checkB bx tab (skipn m cs) b else false
  | BoundB hs t' => checkB bx (reboundB bx hs tab) cs t'
  | RSplitB k i tp tn =>
      if checkB bx (refineB rposB k i tab) cs tp then checkB bx (refineB rnegB k i tab) cs tn else false
  | ISplitB j v tl th =>
      let b1 := upd j (fun b => (fst b, v)) bx in
      let b2 := upd j (fun b => (v, snd b)) bx in
      if checkB b1 tab cs tl then checkB b2 tab cs th else false
  end.
Definition verifyB bx hid cs t := checkB bx (net_boundsB bx hid) cs t.

(* ---- transfer to Z ---- *)
Definition pv := map phi.
Definition pp (b : B*B) := (phi (fst b), phi (snd b)).
Definition pn (n : B * list B) := (phi (fst n), pv (snd n)).
Definition pl := map pn.
Definition ptab := map (fun lb : list (B * list B) * list (B*B) => (pl (fst lb), map pp (snd lb))).
Definition ph (h : hint B) := match h with Slope a => Slope (phi a) | Beta b => Beta (phi b) end.
Definition pe {A C} (f : A -> C) (e : nat * A) := (fst e, f (snd e)).
Definition phs : hints B -> hints Z := map (map (pe ph)).
Definition pss : slopes B -> slopes Z := map (map (pe (fun h => (phs (fst h), phs (snd h))))).
Fixpoint pt (t : treeB) : tree := match t with
 | DoneB => Done | RefuteB c r h a => Refute c r (phs h) (pt a)
 | ForkB m a b => Fork m (pt a) (pt b) | BoundB h a => Bound (pss h) (pt a) | RSplitB k i a b => RSplit k i (pt a) (pt b)
 | ISplitB j v a b => ISplit j (phi v) (pt a) (pt b) end.
Hypothesis s0 : (0 <= phi s)%Z. Hypothesis p0 : (0 <= phi p)%Z.
Ltac bz := repeat first [rewrite BigZ.spec_add | rewrite BigZ.spec_mul | rewrite BigZ.spec_sub | rewrite BigZ.spec_opp
  | rewrite BigZ.spec_max | rewrite BigZ.spec_min | rewrite BigZ.spec_div | rewrite BigZ.spec_shiftr].
Lemma SBz : phi SB = SZ (phi s). Proof. unfold SB, SZ. rewrite BigZ.spec_shiftl, Z.shiftl_1_l; auto. Qed.
Lemma DBz : phi DB = DZ (phi p). Proof. unfold DB, DZ. rewrite BigZ.spec_shiftl, Z.shiftl_1_l; auto. Qed.
Lemma eqbz a b : BigZ.eqb a b = Z.eqb (phi a) (phi b). Proof. apply BigZ.spec_eqb. Qed.
Lemma lebz a b : BigZ.leb a b = Z.leb (phi a) (phi b). Proof. apply BigZ.spec_leb. Qed.
Lemma ltbz a b : BigZ.ltb a b = Z.ltb (phi a) (phi b). Proof. apply BigZ.spec_ltb. Qed.
Lemma flz k v : phi (flB k v) = fl (phi k) (phi v). Proof. apply BigZ.spec_shiftr. Qed.
Lemma vz k row : forall acc, pv (vaddmulB k row acc) = vaddmul (phi k) (pv row) (pv acc).
Proof. induction row; intros [|b acc]; simpl; auto.
 - f_equal. bz; auto. unfold pv. rewrite !map_map. apply map_ext; intros; bz; auto.
 - f_equal; [bz; auto|apply IHrow]. Qed.
Lemma wz l : forall nu acc be e b, wsumB l nu acc be = (e,b) -> wsum (pl l) (pv nu) (pv acc) (phi be) = (pv e, phi b).
Proof. induction l as [|[b0 row] l IH]; intros nu acc be e b H; simpl in *.
 - inversion H; subst; auto.
 - destruct nu as [|k nu]; [inversion H; subst; auto|]. simpl. rewrite eqbz in H. bz.
   change (phi 0) with 0%Z in H. destruct (phi k =? 0)%Z; [eauto|].
   apply IH in H. rewrite vz in H. rewrite <- H. f_equal. bz. auto. Qed.
Lemma brkz m n z : phi (brkB m n z) = brk (phi m) (phi n) (phi z).
Proof. unfold brkB, brk, zrelu. bz. reflexivity. Qed.
Lemma gamz m n l u : phi (gamB m n l u) = gam (phi m) (phi n) (phi l) (phi u).
Proof. unfold gamB, gam. rewrite !ltbz. change (phi 0) with 0%Z. destruct (_ && _); bz; rewrite !brkz; auto. Qed.
Lemma crownz m l u : phi (crownB m l u) = crown (phi m) (phi l) (phi u).
Proof. unfold crownB, crown. rewrite !lebz, !ltbz. change (phi 0) with 0%Z. rewrite BigZ.spec_opp.
 destruct (0 <=? phi l)%Z, (phi u <=? 0)%Z, (0 <=? phi m)%Z, (- phi l <? phi u)%Z; auto; bz; auto. Qed.
Lemma nextz {A C} (f : A -> C) hs : next (map (pe f) hs) = (option_map f (fst (next hs)), map (pe f) (snd (next hs))).
Proof. destruct hs as [|[[|n] h] hs]; auto. Qed.
Lemma frontz {A C} (f : A -> C) hs : front (map (map f) hs) = (map f (fst (front hs)), map (map f) (snd (front hs))).
Proof. destruct hs; auto. Qed.
Lemma hintz h m l u : phi (hintedB h m l u) = hinted (option_map ph h) (phi m) (phi l) (phi u).
Proof. destruct h as [[a|b]|]; simpl; rewrite ?lebz, ?ltbz; change (phi 0) with 0%Z; try apply crownz.
 - destruct (_ && _ && _); [|apply crownz]. rewrite flz. bz. auto.
 - destruct (0 <=? phi l)%Z; bz; auto. Qed.
Lemma rz bs : forall hs mu ga r g, relu_backB bs hs mu ga = (r,g) ->
  relu_back (map pp bs) (map (pe ph) hs) (pv mu) (phi ga) = (pv r, phi g).
Proof. induction bs as [|[l u] bs IH]; intros hs mu ga r g H; simpl in *.
 - inversion H; subst; auto.
 - destruct mu as [|m mu]; [inversion H; subst; auto|]. simpl. rewrite nextz.
   destruct (next hs) as [h hs']; cbn [fst snd].
   destruct (relu_backB bs hs' mu _) as [r' g'] eqn:E. inversion H; subst. apply IH in E.
   revert E. bz. rewrite gamz, hintz. intros ->. simpl. rewrite hintz. auto. Qed.
Lemma boxz bx : forall e, phi (box_minB bx e) = box_min (map pp bx) (pv e).
Proof. induction bx as [|[l u] bx IH]; intros [|a e]; simpl; auto. rewrite <- IH. bz. auto. Qed.
Lemma backz bx ls : forall hs e be, phi (backrB bx ls hs e be) =
  backr (phi s) (phi p) (map pp bx) (ptab ls) (phs hs) (pv e) (phi be).
Proof. induction ls as [|[l bs] ls IH]; intros hs e be.
 - simpl. rewrite flz. bz. rewrite boxz, DBz. auto.
 - assert (M : map (fl (phi s)) (pv e) = pv (map (flB s) e))
     by (unfold pv; rewrite !map_map; apply map_ext; intros; symmetry; apply flz).
   cbn [backrB backr ptab map fst snd]. rewrite M.
   unfold phs. rewrite frontz. destruct (front hs) as [h hs']; cbn [fst snd].
   destruct (relu_backB bs h _ 0) as [nu ga] eqn:E. apply rz in E.
   destruct (wsumB l nu [] 0) as [e' be'] eqn:F. apply wz in F.
   change (phi 0) with 0%Z in *. change (pv []) with (@nil Z) in *.
   rewrite E, F, IH. f_equal. bz. rewrite flz, SBz. auto. Qed.
Lemma zmz k v : pv (zmapB k v) = zmap (phi k) (pv v).
Proof. unfold pv, zmapB, zmap. rewrite !map_map. apply map_ext; intros; bz; auto. Qed.
Definition p2 (h : hints B * hints B) := (phs (fst h), phs (snd h)).
Lemma nbz bx ls h n : pp (neuron_boundsB bx ls h n) = neuron_bounds (phi s) (phi p) (map pp bx) (ptab ls) (p2 h) (pn n).
Proof. destruct n as [b row]. unfold pp, neuron_boundsB, neuron_bounds; simpl. bz. rewrite !backz, !zmz. simpl. bz. rewrite DBz. auto. Qed.
Lemma netz bx hid : ptab (net_boundsB bx hid) = net_bounds (phi s) (phi p) (map pp bx) (map pl hid).
Proof. induction hid as [|l hid IH]; simpl; auto. rewrite <- IH. f_equal. f_equal.
 unfold pl. rewrite !map_map. apply map_ext; intros; apply nbz. Qed.
Lemma meetz a b : pp (meetB a b) = meet (pp a) (pp b).
Proof. unfold meetB, meet, pp; simpl. bz. auto. Qed.
Lemma tightenz bx ls h n b : pp (tightenB bx ls h n b) =
  tighten (phi s) (phi p) (map pp bx) (ptab ls) (p2 h) (pn n) (pp b).
Proof. unfold tightenB, tighten. rewrite !lebz, <- nbz, <- meetz. change (phi 0) with 0%Z.
 unfold pp at 3 4; cbn [fst snd]. destruct (_ || _); auto. Qed.
Lemma bothz h : both (option_map p2 h) = p2 (both h).
Proof. destruct h; auto. Qed.
Lemma tallz bx ls l : forall hs bs, map pp (tighten_allB bx ls hs l bs) =
  tighten_all (phi s) (phi p) (map pp bx) (ptab ls) (map (pe p2) hs) (pl l) (map pp bs).
Proof. induction l as [|n l IH]; intros hs [|b bs]; simpl; auto. rewrite nextz.
 destruct (next hs) as [h hs']; cbn [fst snd map]. rewrite bothz. f_equal; auto using tightenz. Qed.
Lemma reboundz bx tab : forall hs, ptab (reboundB bx hs tab) =
  rebound (phi s) (phi p) (map pp bx) (pss hs) (ptab tab).
Proof. induction tab as [|[l bs] tab IH]; intros hs; simpl; auto. unfold pss. rewrite frontz.
 destruct (front hs) as [h hs']; cbn [fst snd ptab map]. fold (ptab (reboundB bx hs' tab)).
 rewrite tallz, IH. auto. Qed.
Lemma updz {A C} (h : A -> C) f g n l : (forall a, h (f a) = g (h a)) -> map h (upd n f l) = upd n g (map h l).
Proof. intros E. revert n; induction l; intros [|n]; simpl; auto; rewrite ?E, ?IHl; auto. Qed.
Lemma refz f g k i tab : (forall b, pp (f b) = g (pp b)) -> ptab (refineB f k i tab) = refine g k i (ptab tab).
Proof. intros E. unfold refineB, refine, ptab. apply updz. intros [l bs]; simpl. f_equal. apply updz; auto. Qed.
Definition pc := map (map pn).
Lemma nthz {A C} (f : A -> C) l n : nth_error (map f l) n = option_map f (nth_error l n).
Proof. revert l; induction n; intros [|a l]; simpl; auto. Qed.
Lemma refutedz bx tab cs c r hs : refutedB bx tab cs c r hs =
  refuted (phi s) (phi p) (map pp bx) (ptab tab) (pc cs) c r (phs hs).
Proof. unfold refutedB, refuted, pc. rewrite nthz. destruct (nth_error cs c) as [rows|]; simpl; auto.
 rewrite nthz. destruct (nth_error rows r) as [n|]; simpl; auto.
 rewrite ltbz, backz, zmz. bz. rewrite DBz. auto. Qed.
Lemma dropz c cs : pc (drop c cs) = drop c (pc cs).
Proof. unfold drop, pc. rewrite map_app, firstn_map, skipn_map. auto. Qed.
Lemma checkz t : forall bx tab cs, checkB bx tab cs t = check (phi s) (phi p) (map pp bx) (ptab tab) (pc cs) (pt t).
Proof. induction t as [|c r h t IH|m a IHa b IHb|hs t IH|k i a IHa b IHb|j v a IHa b IHb]; intros bx tab cs; simpl.
 - destruct cs; auto.
 - rewrite refutedz, IH, dropz. destruct (refuted _ _ _ _ _ _ _ _); auto.
 - rewrite IHa, IHb. unfold pc. rewrite firstn_map, skipn_map. destruct (check _ _ _ _ _ _); auto.
 - rewrite IH, reboundz. auto.
 - rewrite IHa, IHb, (refz rposB rpos), (refz rnegB rneg);
     try (intros [x y]; unfold pp; simpl; bz; auto; fail). destruct (check _ _ _ _ _ (pt a)); auto.
 - rewrite IHa, IHb.
   rewrite (updz pp (fun b => (fst b, v)) (fun b => (fst b, phi v))) by auto.
   rewrite (updz pp (fun b => (v, snd b)) (fun b => (phi v, snd b))) by auto.
   destruct (check _ _ _ _ _ (pt a)); auto. Qed.
Theorem verifyB_sound bx hid cs t : verifyB bx hid cs t = true ->
  forall x, Forall2 (inb (phi p)) (map pp bx) x ->
  Forall (false_at (phi s) (evalr (phi s) (map pl hid) x)) (pc cs).
Proof. unfold verifyB. rewrite checkz, netz. apply verify_sound; auto. Qed.
End N.
